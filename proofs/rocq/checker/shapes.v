(******************************************************************************)
(*      A network that was compiled has the shapes that were computed         *)
(*                                                                            *)
(* Nothing is cut and nothing is missing: in a well-formed network every      *)
(* value is a full tensor of its shape.                                       *)
(*                                                                            *)
(*   shaped_as (c, h, w) x == x has c channels of h rows of w numbers         *)
(*   regular l == all rows (columns) of the kernel meet as many rows          *)
(******************************************************************************)
Require Import List Arith Bool Lia.
From AlgebraicCNN.checker Require Import evaluator patterns.
Import ListNotations.

Definition shaped_as {V} (s : shape) (x : list (list (list V))) : Prop :=
  match s with (c, h, w) => length x = c /\ Forall (fun im => length im = h /\ Forall (fun r => length r = w) im) x end.
Definition regular {R} (l : layer R) : Prop :=
  Forall (fun rs => length rs = height l) (rows l) /\ Forall (fun cs => length cs = width l) (cols l).

Section Shapes.
Context {R V : Type}.
Variables (v0 one : V) (add : V -> V -> V) (scale : R -> V -> V).
Notation full h w := (fun im : list (list V) => length im = h /\ Forall (fun r => length r = w) im).

Lemma chop_length {A} n : 0 < n -> forall fuel m (l : list A), m <= fuel -> length l = m * n ->
  length (chop fuel n l) = m /\ Forall (fun b => length b = n) (chop fuel n l).
Proof.
intro N. induction fuel as [|f IH]; intros m l M L; cbn [chop]; [split; [simpl; lia|constructor]|].
destruct l as [|x l]; [split; [simpl in *; nia|constructor]|]. set (y := x :: l) in *.
destruct m as [|m]; [discriminate|].
destruct (IH m (skipn n y)) as [H F]; [lia|rewrite skipn_length, L; lia|].
split; [simpl; now rewrite H|]. constructor; [|exact F]. rewrite firstn_length, L. lia.
Qed.
Lemma map2_length {A B C} (f : A -> B -> C) : forall a b, length a = length b -> length (map2 f a b) = length a.
Proof. induction a as [|x a IH]; intros [|y b] H; simpl in *; try discriminate; [reflexivity|]. rewrite IH; [reflexivity|lia]. Qed.
Lemma total_length n : forall ws ts acc, Forall (fun t => length t = n) ts -> length acc = n ->
  length (total (V := V) add scale ws ts acc) = n.
Proof.
induction ws as [|w ws IH]; intros [|t ts] acc F L; cbn [total]; try exact L.
inversion F; subst. apply IH; [assumption|]. unfold axpy. now rewrite map2_length.
Qed.
Lemma uniform_length {A B} (f : A -> list B) n : (forall a, length (f a) = n) -> forall l, length (flat_map f l) = length l * n.
Proof. intros H l. induction l as [|a l IH]; simpl; [reflexivity|]. now rewrite app_length, H, IH. Qed.
Lemma taps_regular (l : layer R) (im : list (list V)) : regular l ->
  Forall (fun t => length t = height l * width l) (taps v0 l im).
Proof.
intros [HR HC]. apply Forall_forall. intros t I. unfold taps in I.
apply in_flat_map in I as [rs [Ir I]]. apply in_map_iff in I as [cs [<- Ic]].
rewrite Forall_forall in HR, HC. rewrite tapP, (uniform_length _ (length cs)).
- now rewrite (HR _ Ir), (HC _ Ic).
- intros [i|]; simpl; apply map_length.
Qed.
Lemma channel_full (l : layer R) ts wb : 0 < width l -> Forall (fun t => length t = height l * width l) ts ->
  full (height l) (width l) (channel one add scale l ts wb).
Proof.
intros W F. unfold channel. apply chop_length; [exact W|nia|]. apply total_length; [exact F|apply repeat_length].
Qed.
Lemma conv_shape (l : layer R) (x : list (list (list V))) :
  regular l -> 0 < groups l -> 0 < width l -> 0 < length x -> length x mod groups l = 0 ->
  0 < length (kernel l) -> length (kernel l) mod groups l = 0 -> length (bias l) = length (kernel l) ->
  shaped_as (length (kernel l), height l, width l) (conv v0 one add scale l x).
Proof.
intros Reg G W C0 CG K0 KG B.
assert (Div : forall m, 0 < m -> m mod groups l = 0 -> m = groups l * (m / groups l) /\ 0 < m / groups l).
{ intros m M H. assert (E := Nat.div_mod m (groups l) ltac:(lia)). rewrite H in E. split; [lia|]. nia. }
destruct (Div _ C0 CG) as [Ec Pc]. destruct (Div _ K0 KG) as [Ek Pk]. unfold conv.
destruct (chop_length (length x / groups l) Pc (groups l) (groups l) (map (taps v0 l) x)) as [Lm _]; [lia|rewrite map_length; exact Ec|].
destruct (chop_length (length (kernel l) / groups l) Pk (groups l) (groups l) (combine (kernel l) (bias l))) as [Lk Fk];
  [lia|rewrite combine_length; lia|].
assert (Fm : Forall (Forall (Forall (fun t => length t = height l * width l)))
   (chop (groups l) (length x / groups l) (map (taps v0 l) x))).
{ apply Forall_forall. intros b Ib. apply Forall_forall. intros a Ia.
  apply (chop_in _ _ _ _ _ Ib), in_map_iff in Ia as [im [<- _]]. now apply taps_regular. }
rewrite Ek at 1. set (k := length (kernel l) / groups l) in *. clearbody k. clear Ek K0 KG Div Ec Pc C0 CG B.
revert Lm Fm Lk Fk. generalize (chop (groups l) (length x / groups l) (map (taps v0 l) x)).
generalize (chop (groups l) k (combine (kernel l) (bias l))). generalize (groups l) at 1 2 3.
intros n ks ms Lm. revert n ks Lm. induction ms as [|m ms IH]; intros n [|q ks] Lm Fm Lk Fk; simpl in Lm, Lk; subst n;
  try discriminate; cbn [map2 concat]; [now split|].
inversion Fm as [|? ? Fm1 Fm2]; inversion Fk as [|? ? Fk1 Fk2]; subst.
destruct (IH (length ms) ks eq_refl Fm2 ltac:(lia) Fk2) as [L F]. split.
- rewrite app_length, L, map_length. simpl. lia.
- apply Forall_app. split; [|exact F]. apply Forall_forall. intros im I. apply in_map_iff in I as [wb [<- _]].
  apply channel_full; [exact W|]. apply Forall_concat. exact Fm1.
Qed.

Lemma tscale_shape s k (x : list (list (list V))) : shaped_as s x -> shaped_as s (tscale scale k x).
Proof.
destruct s as [[c h] w]. intros [L F]. split; [unfold tscale; now rewrite map_length|].
apply Forall_map. eapply Forall_impl; [|exact F]. intros im [Li Fi]. split; [now rewrite map_length|].
apply Forall_map. eapply Forall_impl; [|exact Fi]. intros r Lr. now rewrite map_length.
Qed.
Lemma map2_forall {A} (P : A -> Prop) (f : A -> A -> A) : (forall a b, P a -> P b -> P (f a b)) ->
  forall a b, Forall P a -> Forall P b -> Forall P (map2 f a b).
Proof.
intros H a b F. revert b. induction F as [|x a Px F IH]; intros [|y b] G; cbn [map2]; try constructor.
- inversion G. now apply H.
- inversion G. now apply IH.
Qed.
Lemma tadd_shape s (x y : list (list (list V))) : shaped_as s x -> shaped_as s y -> shaped_as s (tadd add x y).
Proof.
destruct s as [[c h] w]. intros [L F] [M G]. split; [unfold tadd; rewrite map2_length; congruence|].
apply map2_forall; [|exact F|exact G]. intros a b [La Fa] [Lb Fb]. split; [rewrite map2_length; congruence|].
apply map2_forall; [|exact Fa|exact Fb]. intros r t Lr Lt. rewrite map2_length; congruence.
Qed.
Definition positive_shape (s : shape) : Prop := 0 < fst (fst s).
Definition shaped_values (ss : list shape) (vs : list (list (list (list V)))) : Prop :=
  Forall2 shaped_as ss vs /\ Forall positive_shape ss.
Lemma value_shape ss vs : shaped_values ss vs -> forall i s, nth_error ss i = Some s -> shaped_as s (nth i vs []).
Proof.
intros [H _]. induction H as [|s v ss vs Sv H IH]; intros [|i] q E; simpl in *; try discriminate; [congruence|auto].
Qed.
Lemma same_shapeP s q : same_shape s q = true -> s = q.
Proof.
destruct s as [[c h] w], q as [[c' h'] w']. simpl. intro H.
apply andb_prop in H as [H W]. apply andb_prop in H as [C H]. apply Nat.eqb_eq in C, H, W. congruence.
Qed.
Lemma entering_shape ss vs (fs : list (nat * R)) s : shaped_values ss vs -> entering ss fs = Some s ->
  shaped_as s (gather add scale vs fs) /\ positive_shape s.
Proof.
intros S E. destruct fs as [|f fs]; [discriminate|]. unfold entering in E.
destruct (nth_error ss (fst f)) as [q|] eqn:Q; [|discriminate].
destruct (forallb _ _) eqn:A in E; [|discriminate]. inversion E; subst s. cbn [forallb] in A.
apply andb_prop in A as [_ A]. split.
- assert (G : shaped_as q (feed scale vs f)) by (apply tscale_shape; now apply value_shape with ss).
  cbn [gather]. revert A G. generalize (feed scale vs f). induction fs as [|g fs IH]; intros x A G; cbn [fold_left]; [exact G|].
  cbn [forallb] in A. apply andb_prop in A as [Ag A].
  destruct (nth_error ss (fst g)) as [t|] eqn:T; [|discriminate]. apply same_shapeP in Ag. subst t.
  apply IH.
  + exact A.
  + apply tadd_shape; [exact G|]. apply tscale_shape. now apply value_shape with ss.
- destruct S as [_ F]. rewrite Forall_forall in F. apply F. now apply nth_error_In with (fst f).
Qed.
Lemma pattern_regular m n a : 0 < extent a ->
  length (hd [] (pattern m n a)) = size n a /\ Forall (fun rs => length rs = size n a) (pattern m n a).
Proof.
intro E. assert (F : Forall (fun rs => length rs = size n a) (pattern m n a)).
{ apply Forall_map, Forall_forall. intros t _. now rewrite map_length, seq_length. }
split; [|exact F]. unfold pattern in *. destruct (extent a) as [|e]; [lia|]. cbn [seq map hd] in *. now inversion F.
Qed.
Lemma met_regular m n k : serves m n k = true ->
  length (hd [] (met m n k)) = outputs n k /\ Forall (fun rs => length rs = outputs n k) (met m n k) /\ 0 < outputs n k.
Proof.
destruct k as [a|p]; cbn [serves met outputs]; intro F.
- assert (E : 0 < extent a).
  { unfold fits in F. repeat (apply andb_prop in F as [F ?]). now apply Nat.ltb_lt. }
  destruct (pattern_regular m n a E). repeat split; try assumption. unfold size. lia.
- unfold covers in F. apply andb_prop in F as [F C]. apply andb_prop in F as [_ F]. apply Nat.ltb_lt in F.
  repeat split; [|exact F]. rewrite forallb_forall in C. apply Forall_forall. intros r I.
  specialize (C r I). apply andb_prop in C as [C _]. now apply Nat.eqb_eq.
Qed.
Lemma compile_shape ss vs l k q : shaped_values ss vs -> compile ss l = Some (k, q) ->
  shaped_as q (conv v0 one add scale k (gather add scale vs (feeds k))) /\ positive_shape q.
Proof.
intros S E. unfold compile in E. destruct (entering ss (from l)) as [[[c h] w]|] eqn:En; [|discriminate].
destruct (_ && _) eqn:C in E; [|discriminate]. inversion E; subst k q; clear E.
repeat (apply andb_prop in C as [C ?]).
repeat match goal with H : (_ <? _) = true |- _ => apply Nat.ltb_lt in H | H : (_ =? _) = true |- _ => apply Nat.eqb_eq in H end.
destruct (entering_shape _ _ _ _ S En) as [Sx Px]. cbn [feeds]. destruct Sx as [Lx Fx]. unfold positive_shape in *. simpl in Px.
destruct (met_regular (padding l) h (vertical l)) as [Hh [Rh Ph]]; [assumption|].
destruct (met_regular (padding l) w (horizontal l)) as [Hw [Rw Pw]]; [assumption|].
split; [|assumption].
replace (outputs h (vertical l)) with (height (Layer (from l) (met (padding l) h (vertical l))
  (met (padding l) w (horizontal l)) (split l) (kernels l) (biases l))) by exact Hh.
replace (outputs w (horizontal l)) with (width (Layer (from l) (met (padding l) h (vertical l))
  (met (padding l) w (horizontal l)) (split l) (kernels l) (biases l))) by exact Hw.
apply conv_shape; unfold regular, height, width; cbn [rows cols groups kernel bias]; rewrite ?Hh, ?Hw, ?Lx; try assumption.
- split; assumption.
Qed.

Lemma cut_shaped ss : Forall (fun s => let '(c, h, w) := s in 0 < c /\ 0 < h /\ 0 < w) ss ->
  forall X : list V, length X = entries ss -> Forall2 shaped_as ss (cut ss X).
Proof.
intro F. induction F as [|[[c h] w] ss [C [H W]] F IH]; intros X L; cbn [cut]; constructor.
- unfold entries in L. cbn [fold_right] in L. unfold shaped.
  assert (N : 0 < h * w) by nia.
  destruct (chop_length (h * w) N c c (firstn (c * h * w) X)) as [Lc Fc]; [lia|rewrite firstn_length, L; lia|].
  split; [now rewrite map_length|]. apply Forall_map. eapply Forall_impl; [|exact Fc]. intros im Li.
  apply (chop_length w W h h); [lia|exact Li].
- apply IH. rewrite skipn_length, L. unfold entries. cbn [fold_right]. lia.
Qed.

Theorem network_shaped ss ls net ts (X : list V) : network ss ls = Some (net, ts) -> length X = entries ss ->
  Forall2 shaped_as ts (forward v0 one add scale net (cut ss X)).
Proof.
unfold network. destruct (_ && _) eqn:P; [|discriminate]. intros E L.
apply andb_prop in P as [_ P]. rewrite forallb_forall in P.
assert (Q : Forall (fun s => let '(c, h, w) := s in 0 < c /\ 0 < h /\ 0 < w) ss).
{ apply Forall_forall. intros [[c h] w] I. specialize (P _ I). cbv beta iota in P.
  apply andb_prop in P as [P W]. apply andb_prop in P as [C H]. apply Nat.ltb_lt in C, H, W. auto. }
assert (S : shaped_values ss (cut ss X)).
{ split; [now apply cut_shaped|]. eapply Forall_impl; [|exact Q]. intros [[c h] w] [C _]. exact C. }
clear P Q L. unfold forward. revert E S. generalize (cut ss X) as vs. revert ss net ts.
induction ls as [|l ls IH]; intros qs net ts vs E S; cbn [compile_all] in E.
- inversion E; subst. apply S.
- destruct (compile qs l) as [[k q]|] eqn:K; [|discriminate].
  match type of E with context [compile_all ?a ls] => destruct (compile_all a ls) as [[ks us]|] eqn:A; [|discriminate] end. inversion E; subst. cbn [fold_left].
  apply (IH _ _ _ _ A). destruct (compile_shape _ _ _ _ _ S K) as [Sk Pk]. destruct S as [S1 S2]. split.
  + apply Forall2_app; [exact S1|]. constructor; [exact Sk|constructor].
  + apply Forall_app. split; [exact S2|]. constructor; [exact Pk|constructor].
Qed.
End Shapes.

Print Assumptions network_shaped.
