(******************************************************************************)
(*      How large the numbers are that could tell two networks apart          *)
(*                                                                            *)
(* Layer by layer a grid, on which every coefficient of every affine form of  *)
(* that layer is.  Two different networks differ by a number of one grid, a   *)
(* whole number t of so many bits times its unit; a prime modulo which that   *)
(* is not seen divides t, and t has few prime divisors (few_bad_primes in     *)
(* freivalds.v).                                                              *)
(*                                                                            *)
(*   gap a b n == bits of every coefficient by which two networks of these    *)
(*              summaries differ, of n inputs                                 *)
(******************************************************************************)
Require Import List ZArith QArith Qpower Bool Lia.
From AlgebraicCNN.checker Require Import evaluator rational grids.
Import ListNotations.
Open Scope Z_scope.

Definition gfeed (values : list grid) (s : nat * grid) : grid := gmul (snd s) (nth (fst s) values gone).
Definition ggather (values : list grid) (ss : list (nat * grid)) : grid :=
  match ss with
  | [] => gone
  | s :: ss' => fold_left (fun g s => gadd g (gfeed values s)) ss' (gfeed values s)
  end.
Definition glayer (values : list grid) (l : summary) : grid :=
  gadd (gmul (sbias l) gone) (longer (Z.of_nat (sterms l)) (gmul (skernel l) (ggather values (sfeeds l)))).
Definition gstep (values : list grid) (l : summary) : list grid := values ++ [glayer values l].
Definition grids (net : list summary) (inputs : nat) : list grid := fold_left gstep net (repeat gone inputs).
Definition ggap (a b : list summary) (inputs : nat) : grid := gadd (last (grids a inputs) gone) (last (grids b inputs) gone).
Definition gap (a b : list summary) (inputs : nat) : Z := bits (ggap a b inputs).

Open Scope Q_scope.
(* lists *)
Section Lists.
Context {A B C : Type} (P : A -> Prop) (R : B -> Prop) (S : C -> Prop).
Lemma forall_map2 f : (forall a b, P a -> R b -> S (f a b)) -> forall l m, Forall P l -> Forall R m -> Forall S (map2 f l m).
Proof.
intros H l m F. revert m. induction F as [|a l Pa F IH]; intros [|b m] G; cbn [map2]; constructor; inversion G; auto.
Qed.
Lemma forall_chop n : forall fuel l, Forall P l -> Forall (Forall P) (chop fuel n l).
Proof.
induction fuel as [|fuel IH]; intros l F; cbn [chop]; [constructor|]. destruct l as [|a l]; constructor.
- rewrite <- (firstn_skipn n (a :: l)) in F. now apply Forall_app in F as [F _].
- apply IH. rewrite <- (firstn_skipn n (a :: l)) in F. now apply Forall_app in F as [_ F].
Qed.
Lemma forall_map f (l : list B) : (forall b, R b -> P (f b)) -> Forall R l -> Forall P (map f l).
Proof. intros H F. induction F; simpl; constructor; auto. Qed.
Lemma forall_concat (l : list (list A)) : Forall (Forall P) l -> Forall P (concat l).
Proof. intro F. induction F; simpl; [constructor|]. now apply Forall_app. Qed.
Lemma forall_nth d l i : P d -> Forall P l -> P (nth i l d).
Proof. intros D F. revert i. induction F; intros [|i]; simpl; auto. Qed.
End Lists.

(* layers *)
Definition image_covered (g : grid) : list (list form) -> Prop := Forall (Forall (covers g)).
Definition covered (g : grid) : list (list (list form)) -> Prop := Forall (image_covered g).
Section Layer.
Variables (l : layer number) (g : grid).
Hypothesis bits_g : (0 <= bits g)%Z.
Let s := summary_of l.
Let product := gmul (skernel s) g.

Lemma kernel_proper : proper (fold_left widen_row (kernel l) None).
Proof. exact (proj1 (kernel_on (kernel l) None Logic.I)). Qed.
Lemma product_bits : (0 <= bits product)%Z.
Proof. cbn [bits product gmul]. assert (B := grid_bits _ kernel_proper). simpl in *. lia. Qed.

Lemma taps_covered im : image_covered g im -> Forall (Forall (covers g)) (taps nothing l im).
Proof.
intro F. unfold taps. apply Forall_flat_map, Forall_forall. intros rs _. apply Forall_forall. intros t I.
apply in_map_iff in I as [cs [<- _]]. rewrite tapP. apply Forall_flat_map, Forall_forall. intros r _. unfold tap_row.
assert (N := covers_nothing g bits_g). destruct r as [i|].
- apply Forall_forall. intros f I. apply in_map_iff in I as [r [<- _]]. destruct r as [i'|]; [|exact N]. cbn [reach].
  apply forall_nth; [exact N|]. apply forall_nth; [constructor|exact F].
- apply Forall_forall. intros f I. apply in_map_iff in I as [_ [<- _]]. exact N.
Qed.

(* a bias, and a sum of n products *)
Definition summed (n : nat) (f : form) : Prop :=
  forall j, exists q r, coef j f == q + r /\ on (gmul (sbias s) gone) q /\ sum_on (Z.of_nat n) product r.
Lemma total_summed : forall ws ts acc n, Forall (fun k => on (skernel s) (rational k)) ws -> Forall (Forall (covers g)) ts ->
  Forall (summed n) acc -> Forall (fun f => exists m, (m <= n + length ws)%nat /\ summed m f) (total fadd fscale ws ts acc).
Proof.
assert (Stop : forall ws acc n, Forall (summed n) acc ->
  Forall (fun f => exists m, (m <= n + @length number ws)%nat /\ summed m f) acc).
{ intros ws acc n. apply Forall_impl. intros f H. exists n. split; [lia|exact H]. }
induction ws as [|w ws IH]; intros [|t ts] acc n W T A; cbn [total]; try now apply Stop.
inversion W; inversion T; subst. eapply Forall_impl; [|apply (IH ts (axpy fadd fscale w t acc) (Datatypes.S n)); try assumption].
- intros f (m & M & F). exists m. split; [cbn [length]; lia|exact F].
- unfold axpy. apply forall_map2 with (P := covers g) (R := summed n); [|assumption|exact A].
  intros f h F H j. destruct (H j) as (q & r & E & Q & R). exists q, (rational w * coef j f + r).
  split; [rewrite coef_add, coef_scale, E; ring|]. split; [exact Q|]. rewrite Nat2Z.inj_succ. apply sum_on_add; [exact R|].
  now apply on_mul.
Qed.
Lemma summed_covered n f : (n <= sterms s)%nat -> summed n f ->
  covers (gadd (gmul (sbias s) gone) (longer (Z.of_nat (sterms s)) product)) f.
Proof.
intros L F j. destruct (F j) as (q & r & E & Q & R). apply on_wd with (q := q + r); [now rewrite E|].
apply on_add; [exact Q|]. apply (sum_on_longer (Z.of_nat n)); [lia|exact R].
Qed.
Lemma conv_covered x : covered g x ->
  covered (gadd (gmul (sbias s) gone) (longer (Z.of_nat (sterms s)) product)) (conv nothing constant fadd fscale l x).
Proof.
intro F. unfold conv. set (G := gadd _ _). apply forall_concat.
apply forall_map2 with (P := Forall (Forall (Forall (covers g))))
  (R := Forall (fun wb : list number * number => In (fst wb) (kernel l) /\ In (snd wb) (bias l))).
- intros ts ks T K. apply Forall_forall. intros im I. apply in_map_iff in I as [wb [<- I]].
  rewrite Forall_forall in K. destruct (K _ I) as [Kw Kb]. unfold channel. apply forall_chop.
  destruct (kernel_on (kernel l) None Logic.I) as [P H].
  eapply Forall_impl; [|apply (total_summed (fst wb) (concat ts) _ 0)].
  + intros f (m & M & Sf). apply (summed_covered m); [|exact Sf].
    destruct (terms_all (kernel l) 0%nat) as [_ L]. rewrite Forall_forall in L. specialize (L _ Kw).
    unfold s, summary_of, summarise. cbn [sterms]. lia.
  + apply Forall_forall. intros k J. apply on_range; [exact P|]. apply H. right. now exists (fst wb).
  + now apply forall_concat.
  + apply Forall_forall. intros f J. apply repeat_spec in J. subst f. intro j.
    exists (coef j (fscale (snd wb) constant)), 0. split; [ring|]. split; [|apply sum_on_zero, product_bits].
    apply covers_scale; [now apply numbers_on|]. apply covers_bit; [reflexivity|reflexivity|].
    intros [|[|i]]; cbn [constant terms nth]; lia.
- apply forall_chop, Forall_forall. intros t I. apply in_map_iff in I as [im [<- I]]. apply taps_covered.
  unfold covered in F. rewrite Forall_forall in F. exact (F _ I).
- apply forall_chop, Forall_forall. intros [w b] I. cbn [fst snd]. split.
  + exact (in_combine_l _ _ _ _ I).
  + exact (in_combine_r _ _ _ _ I).
Qed.
End Layer.

(* networks *)
Definition on_grid (x : list (list (list form))) (g : grid) : Prop := (0 <= bits g)%Z /\ covered g x.
Lemma nth_on_grid xs gs i : Forall2 on_grid xs gs -> on_grid (nth i xs []) (nth i gs gone).
Proof. intro F. apply rel_nth; [|exact F]. split; [simpl; lia|constructor]. Qed.
Lemma gmul_bits g h : (0 <= bits g)%Z -> (0 <= bits h)%Z -> (0 <= bits (gmul g h))%Z. Proof. simpl. lia. Qed.
Lemma gadd_bits g h : (0 <= bits g)%Z -> (0 <= bits h)%Z -> (0 <= bits (gadd g h))%Z.
Proof.
intros A B. unfold gadd, gcommon, longer. cbv zeta. assert (a := size_nonneg (Zpos (gbelow g))).
assert (b := size_nonneg (Zpos (gbelow h))). assert (c := Z.log2_up_nonneg 2).
destruct (gbelow g =? gbelow h)%positive; cbn [bits]; lia.
Qed.
Lemma feed_on_grid xs gs s : Forall2 on_grid xs gs ->
  on_grid (feed fscale xs s) (gfeed gs (fst s, numbers_grid [snd s])).
Proof.
intro F. destruct (nth_on_grid xs gs (fst s) F) as [B C]. unfold feed, gfeed, tscale. cbn [fst snd]. split.
- apply gmul_bits; [apply numbers_bits|exact B].
- apply (forall_map _ (image_covered (nth (fst s) gs gone))); [|exact C]. intros im.
  apply (forall_map _ (Forall (covers (nth (fst s) gs gone)))). intros r.
  apply (forall_map _ (covers (nth (fst s) gs gone))). intros f. apply covers_scale, numbers_on. now left.
Qed.
Lemma gather_on_grid xs gs ss : Forall2 on_grid xs gs ->
  on_grid (gather fadd fscale xs ss) (ggather gs (map (fun s => (fst s, numbers_grid [snd s])) ss)).
Proof.
intro F. destruct ss as [|s ss]; [split; [simpl; lia|constructor]|]. cbn [gather ggather map].
assert (H := feed_on_grid xs gs s F). revert H.
generalize (feed fscale xs s) (gfeed gs (fst s, numbers_grid [snd s])).
induction ss as [|s' ss IH]; intros x g H; cbn [map fold_left]; [exact H|]. apply IH.
destruct H as [B C]. destruct (feed_on_grid xs gs s' F) as [B' C']. split; [now apply gadd_bits|].
unfold tadd. eapply forall_map2; [|exact C|exact C']. intros im im' I I'. eapply forall_map2; [|exact I|exact I'].
intros r r' J J'. eapply forall_map2; [|exact J|exact J']. intros. now apply covers_add.
Qed.
Lemma forward_on_grids net : forall xs gs, Forall2 on_grid xs gs ->
  Forall2 on_grid (forward nothing constant fadd fscale net xs) (fold_left gstep (map summary_of net) gs).
Proof.
induction net as [|l net IH]; intros xs gs F; [exact F|]. cbn [map]. unfold forward. cbn [fold_left]. apply IH.
unfold step, gstep. apply Forall2_app; [exact F|]. constructor; [|constructor].
destruct (gather_on_grid xs gs (feeds l) F) as [B C]. split.
- apply gadd_bits; [apply gmul_bits; [apply numbers_bits|simpl; lia]|]. cbn [bits longer].
  apply Z.add_nonneg_nonneg; [apply Z.log2_up_nonneg|exact (product_bits l _ B)].
- exact (conv_covered l _ B _ C).
Qed.
Lemma last_on_grid xs gs : Forall2 on_grid xs gs -> on_grid (last xs []) (last gs gone).
Proof.
intro F. induction F as [|x g xs gs H F IH]; [split; [simpl; lia|constructor]|].
destruct F; [exact H|exact IH].
Qed.
Lemma unit_covered n j : covers gone (unit n j).
Proof.
apply covers_bit; [reflexivity|reflexivity|]. intro i. cbn [terms unit].
apply (forall_nth (fun z => 0 <= z <= 1)%Z); [lia|]. apply Forall_forall. intros z I.
apply in_map_iff in I as [k [<- _]]. destruct (Nat.eqb k j); lia.
Qed.
Lemma shaped_covered c h w x : Forall (covers gone) x -> covered gone (shaped c h w x).
Proof.
intro F. unfold shaped. apply (forall_map _ (Forall (covers gone))); [|now apply forall_chop].
intros r. now apply forall_chop.
Qed.
Lemma cut_covered ss : forall x, Forall (covers gone) x -> Forall2 on_grid (cut ss x) (repeat gone (length ss)).
Proof.
induction ss as [|[[c h] w] ss IH]; intros x F; cbn [cut length repeat]; constructor.
- split; [simpl; lia|]. apply shaped_covered. rewrite <- (firstn_skipn (c * h * w) x) in F. now apply Forall_app in F as [F _].
- apply IH. rewrite <- (firstn_skipn (c * h * w) x) in F. now apply Forall_app in F as [_ F].
Qed.

Theorem grids_hold net ss : (0 <= bits (last (grids (map summary_of net) (length ss)) gone))%Z /\
  Forall (covers (last (grids (map summary_of net) (length ss)) gone)) (forms net ss).
Proof.
assert (U : Forall (covers gone) (inputs (entries ss))).
{ apply Forall_forall. intros f I. apply in_map_iff in I as [j [<- _]]. apply unit_covered. }
destruct (last_on_grid _ _ (forward_on_grids net _ _ (cut_covered ss _ U))) as [B C]. split; [exact B|].
unfold forms, output, flat. now apply forall_concat, forall_concat.
Qed.

(* two networks differ by numbers of one grid: t times its unit, and t has at most so many bits *)
Theorem gapP A B ss f g j : In f (forms A ss) -> In g (forms B ss) ->
  exists t, (Z.abs t <= 2 ^ gap (map summary_of A) (map summary_of B) (length ss))%Z /\
    let common := ggap (map summary_of A) (map summary_of B) (length ss) in
    coef j f - coef j g == fraction t (gpower common) (gbelow common).
Proof.
intros F G. destruct (grids_hold A ss) as [_ a]. destruct (grids_hold B ss) as [_ b].
rewrite Forall_forall in a, b. assert (D := on_add _ _ _ _ (a f F j) (on_opp _ _ (b g G j))).
destruct D as (_ & t & T & E). exists t. split; [exact T|exact E].
Qed.

(* networks whose forms have the same coefficients are the same *)
Lemma dot_coef X f : value X f == fold_right Qplus 0 (map (fun j => coef j f * nth j (1 :: X) 0) (seq 0 (length (1 :: X)))).
Proof.
unfold value. assert (G : forall Y l k, (forall j, nth j l 0%Z = nth (k + j) (terms f) 0%Z) ->
  dot l Y * (2 # 1) ^ power f / inject_Z (Zpos (below f)) ==
  fold_right Qplus 0 (map (fun j => coef j f * nth (j - k) Y 0) (seq k (length Y)))).
{ induction Y as [|y Y IH]; intros l k H.
  - destruct l; cbn; field; apply pos_nonzero.
  - assert (E : dot l (y :: Y) == inject_Z (nth 0 l 0%Z) * y + dot (tl l) Y) by (destruct l; cbn; ring).
    rewrite E. cbn [length seq map fold_right]. rewrite Nat.sub_diag.
    assert (T : forall j, nth j (tl l) 0%Z = nth (S k + j) (terms f) 0%Z).
    { intro j. replace (S k + j)%nat with (k + S j)%nat by lia. rewrite <- H. destruct l; [now destruct j|reflexivity]. }
    assert (R := IH (tl l) (S k) T).
    assert (M : map (fun j => coef j f * nth (j - k) (y :: Y) 0) (seq (S k) (length Y)) =
                map (fun j => coef j f * nth (j - S k) Y 0) (seq (S k) (length Y))).
    { apply map_ext_in. intros j I. apply in_seq in I. replace (j - k)%nat with (S (j - S k)) by lia. reflexivity. }
    rewrite M, <- R. unfold coef. rewrite (H 0%nat), Nat.add_0_r. unfold fraction. cbn [nth]. field. apply pos_nonzero. }
rewrite (G (1 :: X) (terms f) 0%nat) by reflexivity.
assert (M : forall l, map (fun j => coef j f * nth (j - 0) (1 :: X) 0) l = map (fun j => coef j f * nth j (1 :: X) 0) l).
{ intro l. apply map_ext. intro j. now rewrite Nat.sub_0_r. }
now rewrite M.
Qed.
Theorem same_coefs A B ss : Forall2 (fun f g => forall j, coef j f == coef j g) (forms A ss) (forms B ss) -> same ss A B.
Proof.
intros F X L. assert (a := forms_rel A ss X L). assert (b := forms_rel B ss X L). revert a b. generalize (run A ss X) (run B ss X).
induction F as [|f g l m E F IH]; intros x y a b; inversion a; inversion b; subst; constructor; [|now apply IH].
match goal with [a : ?q == value X f, b : ?r == value X g |- _] => rewrite a, b end. rewrite !dot_coef.
generalize (seq 0 (length (1 :: X))). intro s. induction s as [|j s IHs]; cbn [map fold_right]; [reflexivity|].
now rewrite IHs, (E j).
Qed.

Print Assumptions grids_hold.
Print Assumptions gapP.
Print Assumptions same_coefs.
