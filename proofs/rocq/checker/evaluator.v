(******************************************************************************)
(*      An evaluator of affine networks, to be run                            *)
(*                                                                            *)
(* Lists only, and written once: V is what is computed with (numbers, residues*)
(* mod p, affine forms, elements of any ring), R what the weights are.  One   *)
(* kind of layer serves all that is affine with shared weights: a sum of      *)
(* earlier values with strengths, met by a kernel through an index pattern.   *)
(* Stride, dilation, padding in every mode, groups, average pools, BatchNorm  *)
(* (a kernel of one tap and as many groups as channels), resizing of skips and*)
(* dense layers differ in the pattern alone (patterns.v).                     *)
(*                                                                            *)
(*   layer R == feeds: the earlier values that are summed, with strengths     *)
(*              rows, cols: which row (column) an output row (column) meets,  *)
(*              for every row (column) of the kernel; None meets a zero       *)
(*              kernel: a row for every output channel, its input channels,   *)
(*              kernel rows and kernel columns in this order                  *)
(*   output net xs == what the last layer of net makes of the tensors xs, flat*)
(*   cut ss x == the numbers x as tensors of the shapes ss                    *)
(*   map_layer psi l == the layer with the weights psi w                      *)
(*   output_rel == the free theorem: what V computes with is related to what  *)
(*              V' computes with, if zero, one, sums and multiples are        *)
(******************************************************************************)
Require Import List Arith.
Import ListNotations.

Record layer (R : Type) := Layer {
  feeds : list (nat * R);
  rows : list (list (option nat));
  cols : list (list (option nat));
  groups : nat;
  kernel : list (list R);
  bias : list R }.
Arguments Layer {R}.
Arguments feeds {R}.
Arguments rows {R}.
Arguments cols {R}.
Arguments groups {R}.
Arguments kernel {R}.
Arguments bias {R}.

Definition shape := (nat * nat * nat)%type.
Definition entries (ss : list shape) : nat := fold_right (fun s n => let '(c, h, w) := s in c * h * w + n) 0 ss.
Definition map_layer {R R' : Type} (psi : R -> R') (l : layer R) : layer R' :=
  Layer (map (fun s => (fst s, psi (snd s))) (feeds l)) (rows l) (cols l) (groups l)
        (map (map psi) (kernel l)) (map psi (bias l)).

Section Lists.
Context {A B C : Type}.
Fixpoint chop (fuel n : nat) (l : list A) : list (list A) :=
  match fuel with
  | O => []
  | S f => match l with [] => [] | _ => firstn n l :: chop f n (skipn n l) end
  end.
(* the entries of l at the places cs, d where there is none: one walk along l where the places do not go back *)
Fixpoint walked (d : A) (l rest : list A) (at_ : nat) (cs : list (option nat)) : list A :=
  match cs with
  | [] => []
  | None :: cs' => d :: walked d l rest at_ cs'
  | Some i :: cs' =>
    let rest' := if at_ <=? i then skipn (i - at_) rest else skipn i l in hd d rest' :: walked d l rest' i cs'
  end.
Definition picked (d : A) (l : list A) (cs : list (option nat)) : list A := walked d l l 0 cs.
Fixpoint map2 (f : A -> B -> C) (a : list A) (b : list B) : list C :=
  match a, b with x :: a', y :: b' => f x y :: map2 f a' b' | _, _ => [] end.
End Lists.

Section Evaluator.
Context {R V : Type}.
Variables (v0 one : V) (add : V -> V -> V) (scale : R -> V -> V).

Local Notation image := (list (list V)).
Local Notation tensor := (list image).

Definition reach (row : list V) (r : option nat) : V :=
  match r with Some i => nth i row v0 | None => v0 end.
Definition tap_row (cs : list (option nat)) (im : image) (r : option nat) : list V :=
  match r with
  | Some i => let row := nth i im [] in map (reach row) cs
  | None => map (fun _ => v0) cs
  end.
(* what one tap of the kernel meets: a value for every output position, flat *)
Definition tap (rs cs : list (option nat)) (im : image) : list V :=
  flat_map (fun row => picked v0 row cs) (picked [] im rs).
Definition taps (l : layer R) (im : image) : list (list V) :=
  flat_map (fun rs => map (fun cs => tap rs cs im) (cols l)) (rows l).

Definition axpy (k : R) (x acc : list V) : list V := map2 (fun a b => add (scale k a) b) x acc.
Fixpoint total (ws : list R) (ts : list (list V)) (acc : list V) : list V :=
  match ws, ts with w :: ws', t :: ts' => total ws' ts' (axpy w t acc) | _, _ => acc end.

Definition height (l : layer R) : nat := length (hd [] (rows l)).
Definition width (l : layer R) : nat := length (hd [] (cols l)).
Definition channel (l : layer R) (ts : list (list V)) (wb : list R * R) : image :=
  let n := height l * width l in
  chop n (width l) (total (fst wb) ts (repeat (scale (snd wb) one) n)).
Definition conv (l : layer R) (x : tensor) : tensor :=
  let met := chop (groups l) (length x / groups l) (map (taps l) x) in
  let kept := chop (groups l) (length (kernel l) / groups l) (combine (kernel l) (bias l)) in
  concat (map2 (fun ts ks => let ts := concat ts in map (channel l ts) ks) met kept).

Definition tadd : tensor -> tensor -> tensor := map2 (map2 (map2 add)).
Definition tscale (k : R) : tensor -> tensor := map (map (map (scale k))).
Definition feed (values : list tensor) (s : nat * R) : tensor :=
  tscale (snd s) (nth (fst s) values []).
Definition gather (values : list tensor) (ss : list (nat * R)) : tensor :=
  match ss with
  | [] => []
  | s :: ss' => fold_left (fun acc s => tadd acc (feed values s)) ss' (feed values s)
  end.
(* the newest value is the last *)
Definition step (values : list tensor) (l : layer R) : list tensor :=
  values ++ [conv l (gather values (feeds l))].
Definition forward (net : list (layer R)) (xs : list tensor) : list tensor := fold_left step net xs.
Definition flat (x : tensor) : list V := concat (concat x).
Definition output (net : list (layer R)) (xs : list tensor) : list V := flat (last (forward net xs) []).
Definition shaped (c h w : nat) (x : list V) : tensor :=
  map (chop h w) (chop c (h * w) x).
(* the inputs of a network, one after the other *)
Fixpoint cut (ss : list shape) (x : list V) : list tensor :=
  match ss with
  | [] => []
  | (c, h, w) :: ss' => shaped c h w (firstn (c * h * w) x) :: cut ss' (skipn (c * h * w) x)
  end.
End Evaluator.

Lemma skipn_add {A} (l : list A) : forall i j, skipn i (skipn j l) = skipn (j + i) l.
Proof. induction l as [|a l IH]; intros i [|j]; simpl; try reflexivity; [now destruct i|apply IH]. Qed.
Lemma hd_skipn {A} (d : A) : forall l i, hd d (skipn i l) = nth i l d.
Proof. induction l as [|a l IH]; intros [|i]; simpl; auto. Qed.
Lemma pickedP {A} (d : A) l cs : picked d l cs = map (fun r => match r with Some i => nth i l d | None => d end) cs.
Proof.
unfold picked. assert (G : forall cs k rest, rest = skipn k l -> walked d l rest k cs =
  map (fun r => match r with Some i => nth i l d | None => d end) cs); [|now apply G].
clear cs. induction cs as [|[i|] cs IH]; intros k rest E; cbn [walked map]; [reflexivity| |now rewrite (IH k rest E)].
assert (R : (if k <=? i then skipn (i - k) rest else skipn i l) = skipn i l).
{ destruct (Nat.leb_spec k i) as [L|_]; [|reflexivity]. rewrite E, skipn_add. f_equal.
  rewrite Nat.add_comm. now apply Nat.sub_add. }
rewrite R, hd_skipn, (IH i (skipn i l) eq_refl). reflexivity.
Qed.
Lemma tapP {V} (v0 : V) rs cs im : tap v0 rs cs im = flat_map (tap_row v0 cs im) rs.
Proof.
unfold tap. rewrite pickedP, !flat_map_concat_map, map_map. f_equal. apply map_ext. intro r. rewrite pickedP.
destruct r as [i|]; cbn [tap_row]; [reflexivity|]. apply map_ext. intros [j|]; [now destruct j|reflexivity].
Qed.

Section Rel2.
Context {A A' B B' : Type} (P : A -> A' -> Prop) (Q : B -> B' -> Prop).

Lemma rel_nth d d' : P d d' -> forall l l', Forall2 P l l' -> forall i, P (nth i l d) (nth i l' d').
Proof. intros D l l' H. induction H; intros [|i]; simpl; auto. Qed.
Lemma rel_map f f' : (forall a a', P a a' -> Q (f a) (f' a')) ->
  forall l l', Forall2 P l l' -> Forall2 Q (map f l) (map f' l').
Proof. intros F l l' H. induction H; simpl; constructor; auto. Qed.
Lemma rel_same {C} (f : C -> B) (f' : C -> B') : (forall c, Q (f c) (f' c)) ->
  forall l, Forall2 Q (map f l) (map f' l).
Proof. intros F l. induction l; simpl; constructor; auto. Qed.
Lemma rel_app : forall l l' m m', Forall2 P l l' -> Forall2 P m m' -> Forall2 P (l ++ m) (l' ++ m').
Proof. intros. now apply Forall2_app. Qed.
Lemma rel_concat : forall l l', Forall2 (Forall2 P) l l' -> Forall2 P (concat l) (concat l').
Proof. intros l l' H. induction H; simpl; [constructor|now apply rel_app]. Qed.
Lemma rel_firstn : forall l l', Forall2 P l l' -> forall n, Forall2 P (firstn n l) (firstn n l').
Proof. intros l l' H. induction H; intros [|n]; simpl; constructor; auto. Qed.
Lemma rel_skipn : forall l l', Forall2 P l l' -> forall n, Forall2 P (skipn n l) (skipn n l').
Proof. intros l l' H. induction H; intros [|n]; simpl; auto. Qed.
Lemma rel_chop n : forall fuel l l', Forall2 P l l' -> Forall2 (Forall2 P) (chop fuel n l) (chop fuel n l').
Proof.
induction fuel as [|f IH]; intros l l' H; simpl; [constructor|].
destruct H as [|a a' l l' Pa H]; [constructor|].
constructor; [apply rel_firstn; now constructor|]. apply IH, rel_skipn. now constructor.
Qed.
Lemma rel_repeat a a' : P a a' -> forall n, Forall2 P (repeat a n) (repeat a' n).
Proof. intros H. induction n; simpl; constructor; auto. Qed.
Lemma rel_hd : forall l l', Forall2 (Forall2 P) l l' -> Forall2 P (hd [] l) (hd [] l').
Proof. intros l l' H. destruct H; simpl; auto. Qed.
Lemma rel_last : forall l l' d d', P d d' -> Forall2 P l l' -> P (last l d) (last l' d').
Proof.
intros l l' d d' D H. induction H as [|a a' l l' Pa H IH]; simpl; [auto|].
destruct H; [exact Pa|exact IH].
Qed.
End Rel2.

Lemma rel_map2 {A A' B B' C C'} (P : A -> A' -> Prop) (Q : B -> B' -> Prop) (S : C -> C' -> Prop) f f' :
  (forall a a' b b', P a a' -> Q b b' -> S (f a b) (f' a' b')) ->
  forall l l' m m', Forall2 P l l' -> Forall2 Q m m' -> Forall2 S (map2 f l m) (map2 f' l' m').
Proof.
intros F l l' m m' H. revert m m'. induction H as [|a a' l l' Pa H IH]; intros m m' G; simpl; [constructor|].
destruct G; constructor; auto.
Qed.
Lemma map2_combine {A B C} (f : A -> B -> C) : forall a b, map2 f a b = map (fun ab => f (fst ab) (snd ab)) (combine a b).
Proof. induction a as [|x a IH]; intros [|y b]; simpl; try reflexivity. now rewrite IH. Qed.
Lemma chop_map {A B} (f : A -> B) n : forall m l, chop m n (map f l) = map (map f) (chop m n l).
Proof.
induction m as [|m IH]; intros [|x l]; simpl; try reflexivity.
change (f x :: map f l) with (map f (x :: l)). now rewrite firstn_map, skipn_map, IH.
Qed.

Section Free.
Context {R V R' V' : Type}.
Variables (v0 one : V) (add : V -> V -> V) (scale : R -> V -> V).
Variables (w0 one' : V') (add' : V' -> V' -> V') (scale' : R' -> V' -> V').
Variables (psi : R -> R') (P : V -> V' -> Prop) (fine : R -> Prop).
Hypothesis P0 : P v0 w0.
Hypothesis P1 : P one one'.
Hypothesis Padd : forall a a' b b', P a a' -> P b b' -> P (add a b) (add' a' b').
Hypothesis Pscale : forall k a a', fine k -> P a a' -> P (scale k a) (scale' (psi k) a').
Local Notation T := (Forall2 (Forall2 (Forall2 P))).
Definition fine_layer (l : layer R) : Prop :=
  Forall (fun s => fine (snd s)) (feeds l) /\ Forall (Forall fine) (kernel l) /\ Forall fine (bias l).

Lemma tap_rel rs cs im im' : Forall2 (Forall2 P) im im' ->
  Forall2 P (tap v0 rs cs im) (tap w0 rs cs im').
Proof.
intro H. rewrite !tapP, !flat_map_concat_map. apply rel_concat, rel_same. intros [i|]; simpl.
- apply rel_same. intros [j|]; simpl; [|exact P0]. apply rel_nth; [exact P0|].
  now apply rel_nth.
- now apply rel_same.
Qed.
Lemma taps_rel l im im' : Forall2 (Forall2 P) im im' ->
  Forall2 (Forall2 P) (taps v0 l im) (taps w0 (map_layer psi l) im').
Proof.
intro H. unfold taps. rewrite !flat_map_concat_map. simpl. apply rel_concat, rel_same. intro rs.
apply rel_same. intro cs. now apply tap_rel.
Qed.
Lemma axpy_rel k x x' a a' : fine k -> Forall2 P x x' -> Forall2 P a a' ->
  Forall2 P (axpy add scale k x a) (axpy add' scale' (psi k) x' a').
Proof. intros K X A. apply (rel_map2 P P P); auto. Qed.
Lemma total_rel : forall ws, Forall fine ws -> forall ts ts', Forall2 (Forall2 P) ts ts' ->
  forall a a', Forall2 P a a' -> Forall2 P (total add scale ws ts a) (total add' scale' (map psi ws) ts' a').
Proof.
intros ws F. induction F as [|w ws Fw F IH]; intros ts ts' H a a' A; simpl; [exact A|].
destruct H; [exact A|]. apply IH; [assumption|]. now apply axpy_rel.
Qed.
Lemma channel_rel l ts ts' wb : Forall fine (fst wb) -> fine (snd wb) -> Forall2 (Forall2 P) ts ts' ->
  Forall2 (Forall2 P) (channel one add scale l ts wb)
    (channel one' add' scale' (map_layer psi l) ts' (map psi (fst wb), psi (snd wb))).
Proof.
intros F G H. unfold channel. simpl. apply rel_chop, total_rel; [exact F|exact H|].
apply rel_repeat. now apply Pscale.
Qed.
Lemma rel_length {A A'} (S : A -> A' -> Prop) l l' : Forall2 S l l' -> length l = length l'.
Proof. intro H. induction H; simpl; congruence. Qed.
Lemma combine_map {A A' B B'} (f : A -> A') (g : B -> B') : forall l m,
  combine (map f l) (map g m) = map (fun ab => (f (fst ab), g (snd ab))) (combine l m).
Proof. induction l as [|a l IH]; intros [|b m]; simpl; try reflexivity. now rewrite IH. Qed.
Lemma chop_in {A} n : forall fuel (l : list A) b a, In b (chop fuel n l) -> In a b -> In a l.
Proof.
assert (F : forall m (l : list A) a, In a (firstn m l) -> In a l).
{ induction m as [|m IH]; intros [|x l] a; simpl; try tauto. intros [E|H]; [now left|right; now apply IH]. }
assert (G : forall m (l : list A) a, In a (skipn m l) -> In a l).
{ induction m as [|m IH]; intros [|x l] a; simpl; try tauto. intro H. right. now apply IH. }
induction fuel as [|f IH]; intros [|x l] b a; cbn [chop In]; try tauto.
intros [E|H] I; [subst; exact (F _ _ _ I)|]. exact (G _ _ _ (IH _ _ _ H I)).
Qed.
Lemma conv_rel l x x' : fine_layer l -> T x x' ->
  T (conv v0 one add scale l x) (conv w0 one' add' scale' (map_layer psi l) x').
Proof.
intros [_ [FK FB]] H. unfold conv. simpl. rewrite combine_map, (chop_map (fun ab : list R * R => (map psi (fst ab), psi (snd ab)))), <- (rel_length _ _ _ H), map_length.
apply rel_concat.
set (cs := chop _ _ (combine _ _)).
assert (F : Forall (Forall (fun wb => Forall fine (fst wb) /\ fine (snd wb))) cs).
{ apply Forall_forall. intros b Ib. apply Forall_forall. intros [w k] Ia.
  apply (chop_in _ _ _ _ _ Ib) in Ia. split; simpl.
  - apply (in_combine_l _ _ _ _) in Ia. now apply (proj1 (Forall_forall _ _) FK).
  - apply (in_combine_r _ _ _ _) in Ia. now apply (proj1 (Forall_forall _ _) FB). }
assert (M : Forall2 (Forall2 (Forall2 (Forall2 P)))
   (chop (groups l) (length x / groups l) (map (taps v0 l) x))
   (chop (groups l) (length x / groups l) (map (taps w0 (map_layer psi l)) x'))).
{ apply rel_chop. apply (rel_map (Forall2 (Forall2 P))); [|exact H]. intros; now apply taps_rel. }
clearbody cs. revert M. generalize (chop (groups l) (length x / groups l) (map (taps v0 l) x)).
generalize (chop (groups l) (length x / groups l) (map (taps w0 (map_layer psi l)) x')).
intros t' t M. revert cs F. induction M as [|a a' t t' Pa M IH]; intros cs F; simpl; [constructor|].
destruct F as [|c cs Fc F]; simpl; constructor; [|now apply IH].
rewrite map_map. induction Fc as [|wb c [Fw Fb] Fc IHc]; simpl; constructor; [|exact IHc].
apply channel_rel; auto. now apply rel_concat.
Qed.
Lemma tadd_rel x x' y y' : T x x' -> T y y' -> T (tadd add x y) (tadd add' x' y').
Proof.
apply rel_map2. intros a a' b b'. apply rel_map2. intros c c' d d'. now apply rel_map2.
Qed.
Lemma tscale_rel k x x' : fine k -> T x x' -> T (tscale scale k x) (tscale scale' (psi k) x').
Proof.
intro F. apply rel_map. intros a a'. apply rel_map. intros b b'. apply rel_map. auto.
Qed.
Lemma feed_rel vs vs' s : fine (snd s) -> Forall2 T vs vs' ->
  T (feed scale vs s) (feed scale' vs' (fst s, psi (snd s))).
Proof. intros F H. apply tscale_rel; [exact F|]. now apply rel_nth. Qed.
Lemma gather_rel vs vs' ss : Forall (fun s => fine (snd s)) ss -> Forall2 T vs vs' ->
  T (gather add scale vs ss) (gather add' scale' vs' (map (fun s => (fst s, psi (snd s))) ss)).
Proof.
intros F H. destruct F as [|s ss Fs F]; simpl; [constructor|].
assert (G : T (feed scale vs s) (feed scale' vs' (fst s, psi (snd s)))) by now apply feed_rel.
revert G. generalize (feed scale vs s) (feed scale' vs' (fst s, psi (snd s))).
induction F as [|q ss Fq F IH]; intros a a' G; simpl; [exact G|].
apply IH, tadd_rel; [exact G|]. now apply feed_rel.
Qed.
Lemma forward_rel : forall net, Forall fine_layer net -> forall vs vs', Forall2 T vs vs' ->
  Forall2 T (fold_left (step v0 one add scale) net vs)
            (fold_left (step w0 one' add' scale') (map (map_layer psi) net) vs').
Proof.
intros net F. induction F as [|l net Fl F IH]; intros vs vs' H; simpl; [exact H|].
apply IH. unfold step. apply rel_app; [exact H|]. constructor; [|constructor].
apply conv_rel; [exact Fl|]. apply gather_rel; [apply Fl|exact H].
Qed.
Lemma flat_rel x x' : T x x' -> Forall2 P (flat x) (flat x').
Proof. intro H. now apply rel_concat, rel_concat. Qed.
Lemma shaped_rel c h w x x' : Forall2 P x x' -> T (shaped c h w x) (shaped c h w x').
Proof.
intro H. unfold shaped. apply (rel_map (Forall2 P)); [|now apply rel_chop]. intros; now apply rel_chop.
Qed.

Lemma cut_rel ss : forall x x', Forall2 P x x' -> Forall2 T (cut ss x) (cut ss x').
Proof.
induction ss as [|[[c h] w] ss IH]; intros x x' H; cbn [cut]; constructor.
- now apply shaped_rel, rel_firstn.
- now apply IH, rel_skipn.
Qed.

Theorem output_rel net xs xs' : Forall fine_layer net -> Forall2 T xs xs' ->
  Forall2 P (output v0 one add scale net xs) (output w0 one' add' scale' (map (map_layer psi) net) xs').
Proof. intros F H. apply flat_rel, rel_last; [constructor|]. now apply forward_rel. Qed.
End Free.

Lemma map_layer_id {R} (net : list (layer R)) : map (map_layer (fun k => k)) net = net.
Proof.
rewrite <- (map_id net) at 2. apply map_ext. intros [f r c g k b]. unfold map_layer; simpl.
f_equal; try apply map_id.
- rewrite <- (map_id f) at 2. apply map_ext. now intros [? ?].
- rewrite <- (map_id k) at 2. apply map_ext. intro. apply map_id.
Qed.

Print Assumptions output_rel.
